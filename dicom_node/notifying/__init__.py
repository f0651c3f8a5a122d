"""Telling people what is wrong with the node, by webhook and e-mail. No patient data goes out."""
