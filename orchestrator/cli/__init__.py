"""One module per command. Each has `register(app: typer.Typer) -> None`; `cli.py` finds them by looking here."""
