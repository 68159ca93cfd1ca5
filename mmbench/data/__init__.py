"""Images with captions and questions: where they come from, and the one batch all families train on."""
