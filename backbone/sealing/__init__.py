"""Seals what is a person's own: one data key for each person, and without that key nobody reads it any more."""
