"""How a network is trained: epochs, early stop, and the state of a fit that can be resumed."""
