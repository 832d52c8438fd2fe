"""omma beside the libraries that people use today; README.md says how it measures and how a row is added."""
