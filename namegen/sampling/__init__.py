"""The stream of names: row i of a seed, drawn on a CPU, on a GPU, or by the letter of its definition."""
