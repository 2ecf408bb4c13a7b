"""Train on what people look at, keep and lose: `pipeline/lab/cli/learn_from_people.py`.

labels         labels of one photo as shares of its sides
targets        what the people branches are to give for a view: gaze map, map of keeping, heads
views          views of labelled photos, and the frozen network's features of them
branches       trains the people branches of the embedded detector
rule_lists     candidates of labelled photos, measured as the product measures them
rule_fit       fits the rule of choice on them
recipe         their two commands
held_out       what the networks of its fold tell of each photo
held_out_cache the file that keeps that for the next run
held_out_choice
               what the product chooses from that, by any rule
rule_comparison
               another rule beside the packaged one, and its command
confidence_rows, confidence_fit, confidence_recipe
               judged crops, the fit of the confidence on them, its command
"""
