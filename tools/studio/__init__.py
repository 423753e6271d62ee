"""The studio driven from outside: its tests, its benchmark and its picture in the documents."""
