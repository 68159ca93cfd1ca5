"""Co-attention: a text stream and an image stream that look at each other in every block."""
