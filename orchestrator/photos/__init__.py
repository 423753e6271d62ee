"""Photos that are worked on repeatedly: stored by their digest, segmented once, previewed with any edits. No HTTP."""
