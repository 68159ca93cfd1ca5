"""How well a language model predicts text."""
