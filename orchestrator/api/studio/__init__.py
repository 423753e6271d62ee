"""The studio: a page in the browser that is a client of the HTTP interface. `static/` is all of it; there is no build step."""
