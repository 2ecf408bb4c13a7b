"""How the starter weights and the embedded detector's head are made: `jobs/make_starter.py`.

    scored_crops     human scores of crops, without their photos
    people           a model of how people crop around a subject
    layout_teacher   which subject explains a photo's scores, and what a subject says about a crop
    answers          what other detectors see in a folder of photos (`label_objects.mjs`, Node)
    subjects         their answers as one belief about where a photo's subject is
    subject_head     trains the embedded detector's head on that belief
    readable_map     S2CNet's backbone, and eight channels that a person can read
    crop_lists       crops of one ratio, as the product proposes them, and their worth to people
    drawn_map        maps and boxes for the human scores, whose photos are not there
    distil           trains S2CNet's graph on human scores and on the belief

Nothing here is needed to use the weights.
"""
