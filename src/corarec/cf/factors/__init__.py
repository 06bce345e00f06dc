"""One vector per user and per item, learned by gradient; users are folded into the space later."""
