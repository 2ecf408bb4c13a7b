"""How the starter weights and the embedded detector's head are trained.

`jobs/make_starter.py` trains both without people's labels of photos:

    scored_crops       human scores of crops, without their photos
    simulated_crops    a model of how people crop around a subject
    layout_teacher     which subject explains a photo's scores; the score of a crop given a subject
    teacher_outputs    outputs of other detectors for a folder of photos (`label_objects.mjs`, Node)
    onnx_networks      the teachers that come as ONNX files
    saliency           a photo's saliency map, from the teachers' outputs
    pseudo_labels      the teachers' outputs merged: objects, a subject map, likely subjects
    views              photos, mirrored photos and parts of photos with their pseudo-labels
    detector_training  trains the embedded detector's head on the pseudo-labels
    semantic_map       S2CNet's backbone with eight channels whose meaning is fixed
    synthetic_map      such maps, and boxes, for the human scores, whose photos are not available
    crop_lists         crops of one ratio, as the product proposes them, with target scores
    graph_training     trains S2CNet's graph on human scores and on pseudo-labels
    recipe, inputs     the whole recipe, and its inputs

`jobs/fine_tune_starter.py` then trains the starter on photos with people's crops and gaze:

    labelled_lists     target scores of a photo's candidates, by people's crops or by gaze
    list_samples       the lists and candidates of one training step
    labelled_photos    frozen features, lists and gaze of a photo
    fine_tuning        trains the upper backbone and the graph on them and on human scores
    people_recipe      the whole fine-tuning

Using the weights needs nothing in this package.
"""
