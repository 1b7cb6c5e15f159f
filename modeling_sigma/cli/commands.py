"""The subcommands of `sigma-slu`. A new one is one line here."""

COMMANDS = {  # name -> (module, one line of help that begins with a verb)
    "demo": ("modeling_sigma.cli.demo", "train a small model on synthetic signs, and try it"),
    "predict": ("modeling_sigma.cli.predict", "translate clips or recognise their signs with a trained model"),
    "inspect": ("modeling_sigma.cli.inspect", "describe skeleton files: layout, length, detected parts"),
    "convert-checkpoint": ("modeling_sigma.cli.convert_checkpoint", "convert a released checkpoint to a model folder"),
    "extract-poses": ("modeling_sigma.cli.extract_poses", "extract clips from a video, or a folder of videos"),
    "build-dataset": ("modeling_sigma.cli.build_dataset", "build a data set that load_dataset opens from a corpus"),
    "audit-dataset": ("modeling_sigma.cli.audit_dataset", "find duplicates, odd lengths and label errors in a corpus"),
    "pretrain": ("modeling_sigma.cli.pretrain", "pre-train a model on clips and their sentences"),
    "finetune": ("modeling_sigma.cli.finetune", "fine-tune a model for isolated signs, glosses or translation"),
    "adapt": ("modeling_sigma.cli.adapt", "adapt a trained model to your own clips: other signs, signers, languages"),
    "evaluate": ("modeling_sigma.cli.evaluate", "score predictions against references"),
    "transcribe": (
        "modeling_sigma.cli.transcribe",
        "transcribe recordings: find their signs, for ELAN or as subtitles",
    ),
    "align": ("modeling_sigma.cli.align", "align subtitles whose times are loose with what a recording signs"),
    "trim-vocabulary": ("modeling_sigma.cli.trim_vocabulary", "remove the tokens that a model's texts never use"),
    "export": ("modeling_sigma.cli.export", "export a trained model to ONNX, or check an exported one"),
    "view": ("modeling_sigma.cli.view", "draw a clip, what a model sees in it, or training curves"),
    "index": ("modeling_sigma.cli.index", "embed clips or texts to search among them"),
    "search": ("modeling_sigma.cli.search", "search an index for clips or texts"),
    "dictionary": ("modeling_sigma.cli.dictionary", "teach a dictionary signs, and search it by signing"),
    "serve": ("modeling_sigma.cli.serve", "serve a trained model over HTTP"),
    "card": ("modeling_sigma.cli.card", "write a model card from facts and measured results"),
    "publish": ("modeling_sigma.cli.publish", "check a model folder and publish it on the Hub in one commit"),
}
