"""Word problems for gsm-target-llama3, written for this project in the form of its training text:
the question, a blank line, the steps, and `The answer is N.`
"""

PASSAGES = [
    "A baker makes 12 loaves of bread every hour. He works for 6 hours and sells each loaf for $3. "
    "How much money does he earn in a day?\n\n"
    "He makes 12*6 = 72 loaves a day.\nSo he earns 72*3 = $216.\nThe answer is 216.",
    "Nina has 48 marbles. She gives a quarter of them to her brother and then loses 5 of the rest "
    "in the garden. Her aunt gives her twice as many marbles as she has left. How many marbles "
    "does Nina have in the end?\n\n"
    "She gives 48/4 = 12 marbles to her brother.\nThat leaves 48-12 = 36 marbles.\n"
    "After losing 5 she has 36-5 = 31 marbles.\nHer aunt gives her 31*2 = 62 marbles.\n"
    "In the end she has 31+62 = 93 marbles.\nThe answer is 93.",
    "A school rents 3 buses for a trip to the museum. Each bus holds 40 people and costs $250 for "
    "the day. 96 children and 12 teachers go on the trip. A ticket to the museum is $6 for a child "
    "and $9 for a teacher, and every teacher also buys a book for $15. The school has saved $570 "
    "and the parents pay the rest. If there are 96 families and all of them pay the same, how many "
    "dollars does each family pay?\n\n"
    "The buses cost 3*250 = $750.\n"
    "The tickets of the children cost 96*6 = $576.\n"
    "The tickets of the teachers cost 12*9 = $108.\n"
    "The books cost 12*15 = $180, but the teachers buy them with their own money.\n"
    "The whole trip costs 750+576+108 = $1434.\n"
    "The school has saved $570, so there is 1434-570 = $864 left to pay.\n"
    "Each family pays 864/96 = $9.\nThe answer is 9.",
]
