"""Huffman codes of JPEG that fit most photographs, for files that are written in one pass.

They are the optimal codes of at most 16 bits (package-merge) for 47 crops of photos of seven public
collections, at the five qualities 48 to 86 of jpegli without adaptive quantisation. A symbol that
does not occur counts as seen once in a thousand, so all symbols of a baseline file have a code.
Files have 1.03 times the size that codes of their own would give, and 1.07 times with the
standard's examples.

Each table has the format of the marker DHT (ITU-T T.81, B.2.4.2): how many codes have 1, 2, … 16
bits, then the symbols in the order of their codes.
"""

BRIGHTNESS_DC = bytes.fromhex("00010501010101010100000000000000030402000501060708090b0a")
BRIGHTNESS_AC = bytes.fromhex(
    "000104000403040607030605060305690102001103210412314105516122137181913206a1b1f042c114d152"
    "23e1627292338215f107b243a25324d2c27316349363834454b3e225a31774c3d33564f208945545b484d4e3"
    "a4752665c4183646f3090a191a2728292a3738393a4748494a565758595a666768696a767778797a85868788"
    "898a95969798999aa5a6a7a8a9aab5b6b7b8b9bac5c6c7c8c9cad5d6d7d8d9dae4e5e6e7e8e9eaf4f5f6f7f8"
    "f9fa"
)
COLOUR_DC = bytes.fromhex("00030101010101010003000000000000000102030405060708090a0b")
COLOUR_AC = bytes.fromhex(
    "00020201020402080206050501010a6f000102110321123104415161132271058132149152a142b1d162f0c1"
    "15e10692722353a28233f143b2c2637316d224e234540744a393258355f208090a1718191a262728292a3536"
    "3738393a45464748494a565758595a6465666768696a7475767778797a8485868788898a9495969798999aa4"
    "a5a6a7a8a9aab3b4b5b6b7b8b9bac3c4c5c6c7c8c9cad3d4d5d6d7d8d9dae3e4e5e6e7e8e9eaf3f4f5f6f7f8"
    "f9fa"
)
