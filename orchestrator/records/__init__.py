"""What jobs leave behind in the store beside their results."""
