"""Label files in the shape in which the tools write them, one of each format."""

from __future__ import annotations

import json
from typing import Any

_STORE = "azureml://subscriptions/0/resourcegroups/g/workspaces/w/datastores/d/paths/"
AUTOML: list[dict[str, Any]] = [
    {
        "image_url": f"{_STORE}belt/a.jpg",
        "image_details": {"format": "jpg", "width": "640px", "height": "480px"},
        "label": [
            {"label": "nut", "topX": 0.25, "topY": 0.5, "bottomX": 0.75, "bottomY": 1.0, "isCrowd": 0},
            {"label": "bolt", "topX": 0, "topY": 0, "bottomX": 0.125, "bottomY": 0.25, "isCrowd": 1},
        ],
    },
    {"image_url": f"{_STORE}belt/b.jpg", "image_details": {"format": "jpg", "width": 640, "height": 480}, "label": []},
]
GROUND_TRUTH: list[dict[str, Any]] = [
    {
        "source-ref": "s3://bucket/belt/a.jpg",
        "belt-boxes": {
            "image_size": [{"width": 640, "height": 480, "depth": 3}],
            "annotations": [
                {"class_id": 0, "left": 10, "top": 20, "width": 200, "height": 150},
                {"class_id": 1, "left": 300, "top": 40, "width": 30, "height": 20},
            ],
        },
        "belt-boxes-metadata": {
            "objects": [{"confidence": 0.93}, {"confidence": 0}],
            "class-map": {"0": "nut", "1": "bolt"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2026-03-09T22:16:08.728353",
            "job-name": "labeling-job/belt-boxes",
        },
    },
    {
        "source-ref": "s3://bucket/belt/b.jpg",
        "sort": 1,
        "sort-metadata": {
            "confidence": 0.95,
            "class-name": "bolt",
            "type": "groundtruth/image-classification",
            "human-annotated": "yes",
            "creation-date": "2026-03-09T22:17:08.728353",
            "job-name": "labeling-job/sort",
        },
    },
    {
        "source-ref": "s3://bucket/belt/c.jpg",
        "parts": [1, 0],
        "parts-metadata": {
            "class-map": {"0": "nut", "1": "bolt"},
            "confidence-map": {"0": 0.77, "1": 0.95},
            "type": "groundtruth/image-classification-multilabel",
            "human-annotated": "yes",
            "creation-date": "2026-03-09T22:18:08.728353",
            "job-name": "labeling-job/parts",
        },
    },
]
LABEL_STUDIO: list[dict[str, Any]] = [
    {
        "id": 9,
        "annotations": [
            {
                "id": 4,
                "completed_by": 1,
                "result": [
                    {
                        "original_width": 640,
                        "original_height": 480,
                        "image_rotation": 0,
                        "value": {
                            "x": 25,
                            "y": 50.0,
                            "width": 50,
                            "height": 25,
                            "rotation": 0,
                            "rectanglelabels": ["nut"],
                        },
                        "id": "Dx_aB91ISN",
                        "from_name": "label",
                        "to_name": "image",
                        "type": "rectanglelabels",
                        "origin": "manual",
                    },
                ],
                "was_cancelled": False,
                "ground_truth": False,
                "created_at": "2021-03-09T22:16:08.728353Z",
                "updated_at": "2021-03-09T22:16:08.728378Z",
                "lead_time": 4.288,
            }
        ],
        "file_upload": "624cb493-a.jpg",
        "drafts": [],
        "predictions": [],
        "data": {"image": "/data/upload/4/624cb493-a.jpg"},
        "meta": {},
        "created_at": "2021-03-09T21:52:49.513742Z",
        "inner_id": 1,
        "project": 4,
    },
]
CREATEML: list[dict[str, Any]] = [
    {
        "image": "belt/a.jpg",
        "annotations": [
            {"label": "nut", "coordinates": {"x": 110, "y": 95.5, "width": 200, "height": 150}},
            {"label": "bolt", "coordinates": {"x": 20, "y": 30, "width": 4, "height": 8}},
        ],
    },
    {"image": "belt/b.jpg", "annotations": []},
]
COCO = (
    '{"images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}], "annotations": '
    '[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 200, 150]}], "categories": [{"id": 3, "name": "nut"}]}'
)
VOC = (
    '<?xml version="1.0"?>\n<!-- made by hand -->\n<annotation><filename>a.jpg</filename>'
    "<object><name>nut</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"
)
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id><name>belt</name><size>3</size><mode>annotation</mode><overlap>0</overlap><flipped>False</flipped>
      <labels><label><name>nut</name><color>#fa3253</color><type>any</type><attributes></attributes></label></labels>
    </task>
    <dumped>2026-03-09 22:16:08.728353+00:00</dumped>
  </meta>
  <image id="0" name="belt/a.jpg" width="640" height="480">
    <box label="nut" source="manual" occluded="0" xtl="10.00" ytl="20.50" xbr="210.00" ybr="170.00" z_order="0">
      <attribute name="rusty">false</attribute>
    </box>
    <polygon label="bolt" source="manual" occluded="1" points="10.0,20.0;210.0,20.0;110.0,170.0" z_order="1"/>
    <box label="bolt" source="semi-auto" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4" z_order="0"></box>
  </image>
  <image id="1" name="belt/b.jpg" width="640" height="480">
  </image>
  <image id="2" name="belt/c.jpg" width="640" height="480">
    <tag label="negative" source="manual"/>
  </image>
</annotations>
"""
YOLO = "0 0.5 0.5 0.25 0.125\n3 0.1 0.1 0.5 0.1 0.5 0.9\n"
LABELME: dict[str, Any] = json.loads(r"""{
  "version": "5.5.0",
  "flags": {"blurred": false},
  "shapes": [
    {
      "label": "nut",
      "points": [[40.5, 30.25], [10.0, 12.0]],
      "group_id": null,
      "description": "",
      "shape_type": "rectangle",
      "flags": {},
      "mask": null
    },
    {
      "label": "bolt",
      "points": [[1.0, 2.0], [20.0, 2.0], [10.0, 20.5]],
      "group_id": 1,
      "shape_type": "polygon",
      "flags": {}
    },
    {
      "label": "bolt",
      "points": [[30.0, 2.0], [40.0, 2.0], [35.0, 10.0]],
      "group_id": 1,
      "shape_type": "polygon",
      "flags": {}
    },
    {"label": "washer", "points": [[20.0, 20.0], [23.0, 24.0]], "group_id": null, "shape_type": "circle", "flags": {}}
  ],
  "imagePath": "..\\images\\a.jpg",
  "imageData": "iVBORw0KGgoAAAANSUhEUg\\\"==",
  "imageHeight": 48,
  "imageWidth": 64
}""")
VIA: dict[str, Any] = {
    "a.jpg52718": {
        "filename": "a.jpg",
        "size": 52718,
        "regions": [
            {
                "shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 200, "height": 150},
                "region_attributes": {"class": "nut"},
            },
            {
                "shape_attributes": {"name": "polygon", "all_points_x": [1, 20, 10], "all_points_y": [2, 2, 20.5]},
                "region_attributes": {"class": "bolt"},
            },
            {
                "shape_attributes": {"name": "ellipse", "cx": 30, "cy": 20, "rx": 5, "ry": 2.5, "theta": 0},
                "region_attributes": {"class": "washer"},
            },
        ],
        "file_attributes": {"caption": "a belt", "public_domain": "no", "image_url": ""},
    },
    "b.jpg4711": {"filename": "b.jpg", "size": 4711, "regions": [], "file_attributes": {}},
}
PER_IMAGE: dict[str, Any] = {
    "visionloop": 1,
    "image": "belt/a.jpg",
    "width": 64,
    "height": 48,
    "unit": "pixels",
    "labels": [
        {"label": "nut", "box": [10, 20, 30.5, 40], "crowd": True},
        {"label": "bolt", "polygon": [[1, 2, 3, 4, 5, 1], [10, 10, 20, 10, 15, 20.5]]},
        {"label": "rusty"},
    ],
    "negative": False,
    "source": "a script",
}
CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,640,480,nut,10,20,210,170\nb.jpg,640,480,,,,,\n"
VIA_CSV = """filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
a.jpg,52718,"{""caption"":""a belt""}",2,0,"{""name"":""rect"",""x"":10,""y"":20,""width"":20,""height"":15}","{""part"":""nut""}"
a.jpg,52718,"{""caption"":""a belt""}",2,1,"{""name"":""circle"",""cx"":20,""cy"":20,""r"":5}","{""part"":""bolt""}"
b.jpg,4711,"{}",0,0,"{}","{}"
"""
SAMPLES: dict[str, bytes] = {
    "coco": COCO.encode(),
    "voc": VOC.encode(),
    "yolo": YOLO.encode(),
    "csv": CSV.encode(),
    "createml": json.dumps(CREATEML).encode(),
    "cvat": CVAT.encode(),
    "labelme": json.dumps(LABELME).encode(),
    "via": json.dumps(VIA).encode(),
    "via-csv": VIA_CSV.encode(),
    "visionloop": json.dumps(PER_IMAGE).encode(),
    "label-studio": json.dumps(LABEL_STUDIO).encode(),
    "automl-jsonl": "\n".join(map(json.dumps, AUTOML)).encode(),
    "ground-truth": "\n".join(map(json.dumps, GROUND_TRUTH)).encode(),
}
