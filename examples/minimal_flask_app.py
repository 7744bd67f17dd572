"""The smallest Flask application with Dream Lab in it.

pip install 'dreamlab[flask]' gunicorn
gunicorn --workers 4 --threads 8 --timeout 120 minimal_flask_app:app
"""

from flask import Flask

from dreamlab.integration import init_dream_lab

app = Flask(__name__)
app.config["DREAM_LAB_CONFIG"] = {"dream_time": "02:00", "dream_duration": 60}
dream_team, dream_scheduler = init_dream_lab(app)


@app.get("/")
def home() -> str:
    """A page of the application's own, answered by the team."""
    return dream_team.solve_task("Find housing resources for seniors in Kern County").text
