"""Turn a decoded photo into its crops: find objects, propose and score candidates, choose, judge.

Parts and their construction:
engine                  connects all parts, for one photo after another
build, cropper          build an engine for a job; crop single photos (`Cropper`)
weights                 the network that a job or a program names
transfer, forked        photos on their way to the device; networks in forked processes

What is proposed and scored:
sources                 the objects of a photo, from a detector or from the input list
parts                   a photo within borders, which is cropped as the part inside them
candidates              the boxes of a shape that may become a crop
scoring, search         scores by the network; which candidates are scored
gpu_memory              what is said where a GPU has too little memory for a photo or a worker

How the best is chosen:
chooser, choose         the interface of choosers; choosers by the rule and by score
evidence, maps, sights  what the rule knows of a photo: maps, heads, objects, sights
rule                    the coefficients and weights of the rule
features                what is measured of a crop
penalties, ends         what a crop costs that cuts heads, objects and text, or ends of things
placement_value         how good a crop's place is
crop_value, values      the value of a crop by the rule; the values of lists and of several shapes
extents                 boxes by their edges across and down, which these share
framed, refine          the best crops, each framed exactly by small steps
chosen                  the crops chosen for a shape
confidence              the probability that a person would accept a crop

What is written:
overrides, override_boxes, decision
                        a person's instruction, the boxes that follow from it, the decision
kind_policy             long photos and pages of text
protected, visible, guards
                        what guards protect, how much of it a crop shows, how badly it breaks them
decide                  instruction, rule for the kind, choice, or fallback; and the verdict
results                 the crops of a photo, with everything that the tables tell of them
derive                  the crop of another shape, derived from a stored one
"""
