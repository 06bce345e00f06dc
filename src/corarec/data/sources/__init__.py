"""One file per input format; each yields `RawData`."""
