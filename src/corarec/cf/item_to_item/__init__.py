"""An item's score by its weights from the items that the user liked before."""
