"""Train on people's gaze, crops and heads: `pipeline/lab/cli/learn_from_people.py`.

labels         labels of one photo as shares of its sides
targets        targets of the people branches for a view: gaze map, map of keeping, heads
views          views of labelled photos, and the frozen network's features of them
branches       trains the people branches of the embedded detector
looking, looking_views
               trains the stages and the branch of the maps further, end to end
further_maps   trains the branch of the maps alone further, also on predicted fixations
placement, placement_views, placement_loss
               trains the branch that predicts where a thumbnail should be
animals        trains the branch for heads of animals
feature_views, feature_scores, feature_recipe
               trains the branch that predicts S2CNet's feature map
fitting        the training steps that the branches share
rule_lists     candidates of labelled photos, measured as the product measures them
rule_fit       fits the rule of choice on them
detector_tensors
               the packaged detector's tensors, with other branches
recipe         the commands `branches`, `looking` and `rule`
held_out       the outputs of its fold's networks for each photo
held_out_cache the file that keeps these for the next run
held_out_choice
               the product's crops from these outputs, by any rule
rule_comparison
               compares another rule with the packaged one, and its command
confidence_rows, confidence_fit, confidence_recipe
               judged crops, the fit of the confidence on them, its command
settings       the options of all commands
"""
