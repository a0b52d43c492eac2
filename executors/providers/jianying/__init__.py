"""JianYing (剪映) drafts: an exported document becomes a draft folder in an archive, made in our own processes."""
