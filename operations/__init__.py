"""Running Respray: is this machine ready, where do weights come from, what will it cost, what is it doing now."""
