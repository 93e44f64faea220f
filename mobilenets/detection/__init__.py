"""Anchors, boxes, matching, losses and detections of single-shot detectors."""
