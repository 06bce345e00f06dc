"""SASRec: the user is what he or she liked last, in order."""
