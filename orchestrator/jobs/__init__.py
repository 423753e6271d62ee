"""From a message of either format to one frozen job."""
