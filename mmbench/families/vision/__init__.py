"""How an image becomes tokens: views of it, an encoder's features of them, a connector, and their layout in a row."""
