"""What Keras on its torch backend does in a way of its own."""
