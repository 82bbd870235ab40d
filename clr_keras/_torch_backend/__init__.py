"""Code for Keras on its torch backend."""
