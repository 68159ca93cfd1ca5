"""The built-in data set of rendered scenes."""

from mmbench.data.scenes.questions import SceneQuestion
from mmbench.data.scenes.scenes import Scenes, SceneTexts

__all__ = ["SceneQuestion", "SceneTexts", "Scenes"]
