"""One module per command. Each has `register(app: typer.Typer) -> None`; `app.py` finds them by looking here."""
