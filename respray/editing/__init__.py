"""Image maths on arrays: mattes, the four rules, palettes and presets. Knows nothing of Triton or encoded files."""
