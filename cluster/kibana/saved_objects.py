"""What Kibana has saved objects of, as lines of JSON: a data view, panels made with Lens, dashboards that show them.

They are written as Kibana 8.9 had them: a later Kibana brings older ones up to date, and refuses newer ones.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CORE_VERSION = "8.8.0"
TYPE_VERSIONS = {"index-pattern": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}
LAYER = "layer"
"""Each panel has one layer, which asks the data view once."""
WIDTH, HEIGHT = 24, 15
"""Of a panel; a dashboard is twice as wide."""
MENUS = {"competition": "Competition", "user": "User", "run_id": "Run"}
"""Field -> title of the menu of its values, above each dashboard."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a layer asks for: groups of documents, or a number of each group."""

    label: str
    operation: str
    source: str
    is_bucketed: bool = False
    data_type: str = "number"
    params: Json = field(default_factory=dict)

    def to_json(self) -> Json:
        """Return it as Lens has it."""
        return {
            "label": self.label,
            "customLabel": True,
            "dataType": self.data_type,
            "operationType": self.operation,
            "scale": "ordinal" if self.is_bucketed else "ratio",
            "sourceField": self.source,
            "isBucketed": self.is_bucketed,
            "params": self.params,
        }


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart or a table of documents of one kind."""

    name: str
    title: str
    kind: str
    """Kind of the documents that are asked for."""
    columns: Sequence[Column]
    """Groups first; those of a chart are its horizontal axis, and what it is split by."""
    chart: str | None = None
    """How numbers are drawn: ``bar``, ``bar_stacked`` or ``line``; None for a table."""
    where: str = ""
    """What else holds for the documents, in Kibana's query language."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Panels, two beside each other, beneath menus that choose whose runs they are of."""

    name: str
    title: str
    description: str
    panels: Sequence[Panel]


def words(label: str, source: str, *, by: str | None = None, data_type: str = "string", size: int = 20) -> Column:
    """Return groups by the values of a field, the greatest number ``by`` first; without it by the values themselves."""
    order_by = {"type": "alphabetical", "fallback": True} if by is None else {"type": "column", "columnId": by}
    params = {
        "size": size,
        "orderBy": order_by,
        "orderDirection": "asc" if by is None else "desc",
        "otherBucket": False,
        "missingBucket": False,
        "parentFormat": {"id": "terms"},
    }
    return Column(label=label, operation="terms", source=source, is_bucketed=True, data_type=data_type, params=params)


def days(label: str) -> Column:
    """Return groups by the time of the documents."""
    params = {"interval": "auto", "includeEmptyRows": True, "dropPartials": False}
    return Column(
        label=label,
        operation="date_histogram",
        source="@timestamp",
        is_bucketed=True,
        data_type="date",
        params=params,
    )


def number(label: str, operation: str, source: str = "score") -> Column:
    """Return a number of each group, such as the ``average`` of a field."""
    return Column(label=label, operation=operation, source=source, params={"emptyAsNull": True})


def count(label: str) -> Column:
    """Return how many documents each group has."""
    return Column(label=label, operation="count", source="___records___", params={"emptyAsNull": True})


def lines(prefix: str, dashboards: Iterable[Dashboard]) -> Iterator[str]:
    """Yield the lines of a file to import: the data view of a prefix's indices, panels, dashboards, their number."""
    objects = [_data_view(prefix)]
    for dashboard in dashboards:
        objects += [_lens(panel, prefix) for panel in dashboard.panels]
        objects.append(_dashboard(dashboard, prefix))
    summary = {"exportedCount": len(objects), "missingRefCount": 0, "missingReferences": []}
    for each in [*objects, {**summary, "excludedObjects": [], "excludedObjectsCount": 0}]:
        yield _text(each)


def _data_view(prefix: str) -> Json:
    attributes = {"title": f"{prefix}-*", "name": prefix, "timeFieldName": "@timestamp"}
    return _saved("index-pattern", prefix, attributes, references=[])


def _lens(panel: Panel, prefix: str) -> Json:
    columns = {str(number): column.to_json() for number, column in enumerate(panel.columns)}
    query = " and ".join(filter(None, [f'kind : "{panel.kind}"', panel.where]))
    layer = {"columns": columns, "columnOrder": list(columns), "incompleteColumns": {}, "sampling": 1}
    attributes = {
        "title": panel.title,
        "description": "",
        "visualizationType": "lnsDatatable" if panel.chart is None else "lnsXY",
        "state": {
            "query": {"query": query, "language": "kuery"},
            "filters": [],
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
            "visualization": _table(columns) if panel.chart is None else _chart(panel, columns),
            "internalReferences": [],
            "adHocDataViews": {},
        },
    }
    references = [_reference("index-pattern", prefix, f"indexpattern-datasource-layer-{LAYER}")]
    return _saved("lens", f"{prefix}-{panel.name}", attributes, references)


def _table(columns: Mapping[str, Json]) -> Json:
    return {
        "layerId": LAYER,
        "layerType": "data",
        "columns": [{"columnId": name, "isTransposed": False} for name in columns],
        "paging": {"enabled": True, "size": 20},
    }


def _chart(panel: Panel, columns: Mapping[str, Json]) -> Json:
    axis, *splits = [name for name, column in columns.items() if column["isBucketed"]]
    layer = {
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": panel.chart,
        "xAccessor": axis,
        "accessors": [name for name, column in columns.items() if not column["isBucketed"]],
    }
    return {
        "preferredSeriesType": panel.chart,
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "fittingFunction": "Linear",  # a line goes on over a gap, such as a value that no experiment has
        "layers": [{**layer, "splitAccessor": splits[0]} if splits else layer],
    }


def _dashboard(dashboard: Dashboard, prefix: str) -> Json:
    names = {f"panel-{number}": panel for number, panel in enumerate(dashboard.panels)}
    panels = [
        {
            "version": TYPE_VERSIONS["dashboard"],
            "type": "lens",
            "panelIndex": name,
            "panelRefName": f"panel_{name}",
            "gridData": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT, "i": name},
            "embeddableConfig": {"enhancements": {}},
        }
        for number, name in enumerate(names)
    ]
    menus = {
        name: {
            "type": "optionsListControl",
            "order": number,
            "width": "medium",
            "grow": True,
            "explicitInput": {"id": name, "fieldName": name, "title": title, "enhancements": {}},
        }
        for number, (name, title) in enumerate(MENUS.items())
    }
    heeded = {"ignoreFilters": False, "ignoreQuery": False, "ignoreTimerange": False, "ignoreValidations": False}
    attributes = {
        "title": dashboard.title,
        "description": dashboard.description,
        "version": 1,
        "timeRestore": True,
        "timeFrom": "now-90d",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 60_000},
        "panelsJSON": _text(panels),
        "optionsJSON": _text({"useMargins": True, "syncColors": True, "hidePanelTitles": False}),
        "controlGroupInput": {
            "controlStyle": "oneLine",
            "chainingSystem": "HIERARCHICAL",
            "ignoreParentSettingsJSON": _text(heeded),
            "panelsJSON": _text(menus),
        },
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": _text({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
    }
    references = [
        *(_reference("lens", f"{prefix}-{panel.name}", f"{name}:panel_{name}") for name, panel in names.items()),
        *(_reference("index-pattern", prefix, f"controlGroup_{name}:optionsListDataView") for name in menus),
    ]
    return _saved("dashboard", f"{prefix}-{dashboard.name}", attributes, references)


def _saved(type_: str, id_: str, attributes: Json, references: Sequence[Json]) -> Json:
    return {
        "id": id_,
        "type": type_,
        "attributes": attributes,
        "references": list(references),
        "coreMigrationVersion": CORE_VERSION,
        "typeMigrationVersion": TYPE_VERSIONS[type_],
    }


def _reference(type_: str, id_: str, name: str) -> Json:
    return {"type": type_, "id": id_, "name": name}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
