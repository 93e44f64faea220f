"""Where images come from: random access to images and what is known of them."""
