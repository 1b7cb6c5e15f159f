"""The subcommands of `sigma-slu`. A new one is one line here."""

COMMANDS = {  # name -> (module, one line of help)
    "demo": ("modeling_sigma.cli.demo", "train and try a small model on synthetic signs"),
    "predict": ("modeling_sigma.cli.predict", "text for skeleton files, with a trained model"),
    "inspect": ("modeling_sigma.cli.inspect", "what is in a skeleton file: layout, length, parts"),
    "convert-checkpoint": ("modeling_sigma.cli.convert_checkpoint", "a released checkpoint into a model folder"),
    "extract-poses": ("modeling_sigma.cli.extract_poses", "a folder of videos to a folder of clips"),
    "build-dataset": ("modeling_sigma.cli.build_dataset", "a corpus to a folder that load_dataset opens"),
    "audit-dataset": ("modeling_sigma.cli.audit_dataset", "duplicates, odd lengths, label errors of a data set"),
    "pretrain": ("modeling_sigma.cli.pretrain", "pre-train a model on clips and their sentences"),
    "finetune": ("modeling_sigma.cli.finetune", "fine-tune a model for isolated signs, glosses or translation"),
    "adapt": ("modeling_sigma.cli.adapt", "a trained model to your own clips: other signs, signers, languages"),
    "evaluate": ("modeling_sigma.cli.evaluate", "scores of predictions against references"),
    "trim-vocabulary": ("modeling_sigma.cli.trim_vocabulary", "a model without the pieces its texts never use"),
    "view": ("modeling_sigma.cli.view", "a clip as GIF, video or picture; what a model sees; training curves"),
    "index": ("modeling_sigma.cli.index", "embed clips or texts, to search among them"),
    "search": ("modeling_sigma.cli.search", "clips for a text, or texts for a clip, in an index"),
    "card": ("modeling_sigma.cli.card", "the model card of a folder, from facts and measured results"),
    "publish": ("modeling_sigma.cli.publish", "a model folder to the Hub, checked and in one commit"),
}
