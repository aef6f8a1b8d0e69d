"""Species whose genus is one letter, as in E. coli: they look like an option and its text.

Nothing in `E. coli` and `B. serum` tells a name from an option but the words themselves, so names
go by a list, with their initials. The list is ours: bacteria, fungi and parasites of medical
examinations, and the animals and plants of laboratories, under the names of ordinary use.
"""

_BY_INITIAL = {
    "A": "aegypti baumannii duodenale flavus fumigatus gambiae israelii lumbricoides niger "
    "thaliana",
    "B": "abortus anthracis burgdorferi cepacia cereus dermatitidis fragilis henselae melitensis "
    "microti pertussis pseudomallei quintana subtilis",
    "C": "albicans auris botulinum burnetii coli diff difficile diphtheriae elegans freundii "
    "gattii glabrata immitis jejuni neoformans perfringens pneumoniae psittaci tetani trachomatis",
    "D": "latum melanogaster rerio",
    "E": "chaffeensis cloacae coli faecalis faecium granulosus histolytica vermicularis",
    "F": "nucleatum tularensis",
    "G": "duodenalis intestinalis lamblia vaginalis",
    "H": "capsulatum ducreyi flu influenzae pylori sapiens",
    "I": "scapularis",
    "K": "oxytoca pneumoniae",
    "L": "acidophilus donovani interrogans monocytogenes pneumophila",
    "M": "avium bovis catarrhalis genitalium kansasii leprae marinum musculus pneumoniae "
    "tuberculosis",
    "N": "fowleri gonorrhoeae meningitidis",
    "O": "volvulus",
    "P": "acnes aeruginosa falciparum gingivalis jirovecii knowlesi malariae mirabilis multocida "
    "ovale vivax vulgaris",
    "R": "prowazekii rickettsii",
    "S": "agalactiae aureus bovis cerevisiae dysenteriae enterica epidermidis flexneri haematobium "
    "japonicum maltophilia mansoni marcescens moniliformis mutans pneumoniae pombe pyogenes "
    "saprophyticus schenckii sonnei stercoralis typhi typhimurium",
    "T": "brucei cruzi gondii pallidum rubrum saginata solium spiralis tonsurans trichiura "
    "vaginalis whipplei",
    "V": "cholerae parahaemolyticus vulnificus",
    "W": "bancrofti",
    "X": "laevis",
    "Y": "enterocolitica pestis",
}

# To be put after a capital: it fails where that capital is the genus of a species.
NOT_A_SPECIES = (
    "(?!"
    + "|".join(
        rf"(?<={initial})\.(?:[ \t~]|\\[ ,])?(?:{names.replace(' ', '|')})\b"
        for initial, names in _BY_INITIAL.items()
    )
    + ")"
)
