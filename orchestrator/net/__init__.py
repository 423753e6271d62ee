"""Going out to addresses that others name: which may be asked, and links that photos come from and results go to."""
