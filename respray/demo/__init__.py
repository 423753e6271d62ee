"""The demo's own material: jobs, rendered photos and the contact sheet that shows what came of them."""
