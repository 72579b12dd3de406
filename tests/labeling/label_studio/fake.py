"""A Label Studio in memory: of the SDK's client, what is used here, as the server was seen to act.

``make test-label-studio`` runs the same tests against a server.
"""

from __future__ import annotations

import copy
import datetime
import itertools
import types


class Client:
    """What ``label_studio_sdk.LabelStudio`` is to the tests."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._projects, self._views, self._tasks = {}, {}, {}
        self._clock = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.projects = types.SimpleNamespace(
            list=self._list_projects,
            get=lambda id: self._projects[id],
            create=self._create_project,
            update=self._rename,
            import_tasks=self._import_tasks,
        )
        self.views = types.SimpleNamespace(create=self._create_view, list=self._list_views)
        self.tasks = types.SimpleNamespace(list=self._list_tasks, update=self._update_task)
        self.annotations = types.SimpleNamespace(
            create=self._annotate, update=self._correct, delete=self._delete
        )

    def _list_projects(self, title=""):
        return [p for p in self._projects.values() if title.lower() in p.title.lower()]

    def _create_project(self, title, label_config, description=None):
        project = types.SimpleNamespace(
            id=next(self._numbers),
            title=title,
            label_config=label_config,
            description=description,
        )
        self._projects[project.id] = project
        return project

    def _rename(self, id, title):
        self._projects[id].title = title

    def _import_tasks(self, id, request):
        for entry in request:
            number = next(self._numbers)
            self._tasks[number] = types.SimpleNamespace(
                id=number, project=id, data=copy.deepcopy(entry["data"]), annotations=[]
            )

    def _create_view(self, project, data):
        view = types.SimpleNamespace(id=next(self._numbers), project=project, data=data)
        self._views[view.id] = view
        return view

    def _list_views(self, project):
        return [view for view in self._views.values() if view.project == project]

    def _list_tasks(self, project, fields="all", view=None):
        found = [copy.deepcopy(t) for t in self._tasks.values() if t.project == project]
        if view is not None:
            (order,) = self._views[view].data["ordering"]
            column = order.removeprefix("-")
            is_number = self._views[view].data.get("columnsDisplayType", {}).get(column) == "Number"
            field = column.removeprefix("tasks:data.")
            found.sort(
                key=lambda t: (float if is_number else str)(t.data[field]),
                reverse=order.startswith("-"),
            )
        return iter(found)

    def _update_task(self, id, data):
        self._tasks[int(id)].data = copy.deepcopy(data)

    def _now(self):
        self._clock += datetime.timedelta(seconds=1)
        return self._clock.isoformat()

    def _annotate(self, id, result, was_cancelled=False):
        annotation = {
            "id": next(self._numbers),
            "result": result,
            "was_cancelled": was_cancelled,
            "created_username": " ann@example.com, 1",
            "completed_by": 1,
            "updated_at": self._now(),
        }
        self._tasks[int(id)].annotations.append(annotation)
        return types.SimpleNamespace(**annotation)

    def _of(self, id):
        return next(
            (task, a) for task in self._tasks.values() for a in task.annotations if a["id"] == id
        )

    def _correct(self, id, result, was_cancelled=False):
        _, annotation = self._of(id)
        annotation |= {"result": result, "was_cancelled": was_cancelled, "updated_at": self._now()}

    def _delete(self, id):
        task, annotation = self._of(id)
        task.annotations.remove(annotation)
