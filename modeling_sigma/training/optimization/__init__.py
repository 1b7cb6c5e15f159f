"""How weights move: Muon with AdamW, parameter groups, averages of weights, frozen statistics."""
