"""Classes and edges in panels: colours, legends, and where each picture stands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from callbacks.pictures.class_colors import ClassColors
from callbacks.pictures.frame_view import FrameView
from callbacks.pictures.panels import arrange, draw_panel
from callbacks.pictures.task_pictures import edge_pictures, region_support_pictures, semantic_pictures
from datamodules.classes import NYU40
from lightning_modules.prediction import Prediction
from tests.helpers.tested_frames import frame_of, output_of

SIZE = (24, 32)


def view_of():
    depth = np.linspace(1, 5, SIZE[0] * SIZE[1]).reshape(SIZE)
    image = np.full((12, 16, 3), 90, dtype=np.uint8)
    return FrameView(image, depth, depth + 0.5, np.ones(SIZE, dtype=bool), 1.0, 5.0)


def batch(*keys):
    ids = torch.zeros(2, *SIZE, dtype=torch.int64)
    ids[1, :, :8], ids[1, :, 8:24] = 1, 5
    edges = torch.zeros(2, 1, *SIZE)
    edges[1, 0, :, 8] = 1
    everything = {"semantics": ids, "edges": edges}
    depth = torch.ones(2, 1, *SIZE)
    names = {"scene": ["a", "b"], "frame": torch.tensor([3, 4]), "depth": depth, "valid": depth > 0}
    return names | {key: everything[key] for key in keys}


def prediction_of(*, semantics=False, edges=False, segments=0):
    """The second frame: class 5 on the left half, class 22 on the right; one edge between them."""
    logits = torch.zeros(2, 40, 12, 16)
    logits[1, 4, :, :8], logits[1, 21, :, 8:] = 9, 9
    edge = torch.full((2, 1, *SIZE), -9.0)
    edge[1, 0, :, 16] = 9
    return Prediction(
        depth=torch.ones(2, 1, *SIZE),
        semantics=logits if semantics else None,
        edges=edge if edges else None,
        segments=[torch.arange(16).expand(2, 12, 16) // 2**level for level in range(segments)],
    )


def test_a_class_is_painted_and_called_the_same_everywhere():
    colors = ClassColors()
    ids = np.array([[0, 1], [22, 40]])
    picture = colors.picture(ids)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert tuple(picture[1, 0]) == NYU40["ceiling"]
    legend = colors.legend(ids, np.array([[22, 22]]))
    assert list(legend) == ["ceiling", "wall", "other prop"]  # most pixels first, unlabelled not named
    assert legend["wall"] == tuple(picture[0, 1])


@pytest.mark.parametrize("classes", [13, 894])
def test_other_sets_of_classes_go_by_their_numbers(classes):
    colors = ClassColors(classes)
    picture = colors.picture(np.arange(classes + 1)[None])
    assert len(np.unique(picture[0], axis=0)) > 0.9 * classes
    assert list(colors.legend(np.array([[7, 7]]))) == ["class 7"]


def test_classes_of_truth_and_prediction():
    pictures, legend = semantic_pictures(prediction_of(semantics=True), batch("semantics"), 1, ClassColors())
    true, predicted = pictures.items()
    assert set(legend) == {"wall", "chair", "ceiling"}
    assert "50 % of pixels right" not in predicted[0]  # the unlabelled quarter is not counted
    assert "33 % of pixels right" in predicted[0]
    assert tuple(true[1][5, 10]) == NYU40["chair"] == tuple(predicted[1][5, 3])
    assert tuple(true[1][5, 30]) == (0, 0, 0)
    assert predicted[1].shape == true[1].shape == (*SIZE, 3)


def test_edges_of_truth_and_prediction():
    pictures = list(edge_pictures(prediction_of(edges=True), batch("edges"), 1).values())
    assert pictures[0][:, 8].min() == 255
    assert pictures[0].mean() == pytest.approx(255 / 32)
    assert pictures[1][:, 16].min() == 255
    assert pictures[1][:, 8].max() == 0


def test_without_truth_the_prediction_stands_alone():
    pictures, legend = semantic_pictures(prediction_of(semantics=True), batch(), 1, ClassColors())
    assert list(pictures) == ["predicted classes"]
    assert set(legend) == {"chair", "ceiling"}
    assert list(edge_pictures(prediction_of(edges=True), batch(), 1)) == ["predicted edges (probability)"]


def panel(view, prediction, batch):
    """Of the second frame."""
    return draw_panel(frame_of(output_of(prediction, batch), batch, 1), view)


def titles(figure):
    return [axis.get_title() or ("legend" if axis.get_legend() else "") for axis in figure.axes[:-2]]


def test_a_method_of_all_tasks_has_the_papers_six_pictures():
    prediction = prediction_of(semantics=True, edges=True)
    figure = panel(view_of(), prediction, batch("semantics", "edges"))
    rows = [titles(figure)[i : i + 4] for i in range(0, 12, 4)]
    assert rows[0][0] == "b, frame 4"
    assert rows[0][1:3] == ["ground truth", "prediction"]
    assert rows[1][1:] == ["true edges", "predicted edges (probability)", ""]
    assert rows[2][0].startswith("true classes")
    assert rows[2][1].startswith("predicted classes")
    assert rows[2][2:] == ["legend", ""]
    legend = figure.axes[10].get_legend()
    drawn = {
        text.get_text(): patch.get_facecolor()[:3]
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    assert drawn == {name: to_rgb([c / 255 for c in NYU40[name]]) for name in ("chair", "ceiling", "wall")}


def test_a_method_of_segments_alone_has_the_panel_it_had():
    figure = panel(view_of(), prediction_of(segments=4), batch("semantics", "edges"))
    assert [title.partition(":")[0] for title in titles(figure)[4:]] == [
        "boundaries", "level 0", "level 1", "level 2", "level 3", "", "", "",
    ]  # fmt: skip


def test_a_method_that_reads_the_truth_is_marked_and_what_it_reads_is_shown():
    figure = panel(replace(view_of(), oracle="semantics"), prediction_of(), batch("semantics"))
    assert titles(figure)[2] == "prediction (oracle semantics)"
    assert titles(figure)[5:7] == ["true classes, which the method reads", "legend"]
    of_other_truth = panel(replace(view_of(), oracle="region support"), prediction_of(), batch("semantics"))
    assert titles(of_other_truth)[2] == "prediction (oracle region support)"
    assert titles(of_other_truth)[5] == ""


def test_groups_stay_together():
    names = iter("abcdefghi")
    groups = [[(next(names), np.zeros(0)) for _ in range(n)] for n in (1, 3, 2, 3)]
    cells = arrange(groups)
    assert [cell and cell[0] for cell in cells] == [*"abcdef", None, None, *"ghi"]


def test_steps_towards_the_depth_beside_region_support():
    aux = [torch.full((2, 1, 12, 16), 2.0), torch.full((2, 1, 12, 16), 3.0)]
    prediction = Prediction(depth=torch.ones(2, 1, *SIZE), aux=aux)
    support = torch.zeros(2, 1, *SIZE)
    support[1, :, 12:] = 4
    pictures = region_support_pictures(prediction, {"region_support": support}, 1, (1.0, 5.0))
    assert list(pictures) == ["true region support (black: none)", "what refinement begins with", "iteration 1"]
    truth, first, _ = pictures.values()
    assert not truth[:12].any()
    assert truth[12:].any()
    assert len(np.unique(first.reshape(-1, 3), axis=0)) == 1
    assert list(region_support_pictures(prediction, {}, 1, (1.0, 5.0))) == list(pictures)[1:]
    assert region_support_pictures(prediction_of(), {"region_support": support}, 1, (1.0, 5.0)) == {}
