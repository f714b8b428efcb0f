"""Story openings for the three story models, written for this project.

Letters, full stops, commas, quotation marks, question and exclamation marks only: the
character-level vocabulary of babyllama-tok105 has little more to offer. Every opening stays under
190 characters, so that it and 64 new tokens fit into that model's context of 256. Most stop inside
a sentence: behind a full stop tinystories-656k ends the story at once, which is worth a few
prompts, not fifty.
"""

OPENINGS = [
    "Once upon a time, there was a little girl named Lily.",
    "Once upon a time, in a small house by the river, there lived an old man and his cat. The cat",
    "One day, a boy named Tim went to the park with his mom. They",
    "Tom had a red ball. He loved to",
    "The sun was shining and the birds were singing. Anna wanted to play outside, but",
    "There was a big dog who did not like the rain. One day",
    "Mia and Ben were best friends. They liked to build towers with blocks. Mia",
    '"Look, mommy, a butterfly!" said Sue.',
    "In the forest lived a tiny mouse. The mouse was always",
    "It was a cold morning. Jack put on his warm coat and his blue hat. Then he",
    "Lucy found a shiny key under her bed. She did not know what it could",
    "A little bird sat on a branch. It was sad because",
    "Grandma baked a cake with apples. The whole kitchen smelled sweet. Everyone",
    "Sam was afraid of the dark. Every night he asked his dad to",
    "Once there was a frog who wanted to fly. The frog",
    'The teacher said, "Today we will paint a picture of our family." The children',
    "Emma lost her favorite doll. She looked in the garden and in the car, but",
    "A green truck came down the road. It was carrying",
    "Max the puppy saw a bone on the other side of the fence.",
    "One night, a bright star fell from the sky and landed in",
    "Ella had a pretty dress. She wore it to the party and",
    "The rabbit and the turtle wanted to see who was faster. They",
    "Dad and Leo went fishing early in the morning. They sat in the boat and",
    "There once was a tree that had no leaves. All the other trees",
    'Nora asked, "Can I have a cookie, please?"',
    "A brown bear woke up in the spring. He was very hungry and",
    "The wind blew so hard that the kite flew away. Peter ran after it and",
    "Zoe liked to count her shells. She had one, two, three, four shells in",
    "On the farm there lived a pig, a cow and a very loud rooster. Every morning the rooster",
    "Molly was sick and had to stay in bed. Her brother wanted to make her happy, so he",
    "Ben saw a big spider in the bath. He",
    "The king had a golden crown, but he was not happy. He had no friends, so",
    "When the snow came, the children ran into the yard and made",
    "A small boat sailed on the big blue sea. Suddenly",
    '"Why is the moon so round?" asked the little owl. His mother',
    "Tina wanted to help her mom clean the house. She took the broom and",
    "The cat jumped on the table and knocked over the milk. The milk",
    "Once upon a time there was a dragon. The dragon did not breathe fire. It could only",
    "Jill and her sister were fighting over a toy. They both pulled and pulled until",
    "Every day after school, Oscar fed the ducks at the lake. One day the ducks were",
    "A squirrel hid his nuts under a stone. Then he forgot",
    "The train was late. Kim and her grandpa sat on a bench and",
    "Billy got a drum for his birthday. He played it all day long, and the neighbors",
    "There was a magic pencil. Everything it drew became real. A girl named",
    "Rose was the smallest girl in her class, but she could",
    "The monkey wanted the banana at the top of the tree. The elephant wanted it too. So",
    "Daisy the cow did not want to give milk today.",
    "It was bedtime. Noah put his teddy bear next to him and closed his eyes, but he could not"
    " sleep. He heard a strange",
    "Amy and her dog Spot walked to the beach. They saw a crab. The crab was red and it had big"
    " claws. Spot barked at it and",
    "Long ago, people told a story about a mountain that could talk. Nobody believed it until one"
    " day a shepherd boy climbed to the top and",
]

# Longer passages for the logits: a quick one, a middling one, a long one.
PASSAGES = [
    "One day, a little fox went for a walk in the woods. He met a rabbit who was crying. "
    '"What is wrong?" asked the fox. "I lost my way," said the rabbit. The fox smiled and took '
    "the rabbit home. They became good friends. From that day on they played together every "
    "afternoon, and the rabbit never got lost again.",
    "Once upon a time, there was a girl named Clara who had a small garden. Every morning she gave "
    "water to her flowers. There were red flowers and yellow flowers, and in the middle there was "
    "one that never opened. Clara talked to it and sang to it, but it stayed closed. One day her "
    'grandpa came to visit. "Be patient," he said. "Some flowers like to wait." Clara waited and '
    "waited. She waited all summer. Then, on the first cold day, the flower opened. It was big and "
    "blue, and it was the most beautiful flower in the whole town. All the people came to see it, "
    "and Clara was very proud.",
    "There was once a little boat that lived in a big harbor. The boat was old and its paint was "
    "brown. The other boats were new and fast, and they made fun of it. "
    '"You are too slow," they said. "You can not catch any fish." The little boat was sad, but it '
    "did not say anything. One night there was a storm. The wind was strong and the waves were "
    "high. The new boats stayed in the harbor because they were scared. Then they heard a cry. A "
    'boy was in the water! "Help me!" he shouted. The little boat was scared too, but it went out '
    "into the waves. It went up and down, up and down, and the rain was very cold. At last it "
    "found the boy. He held on to the side and climbed in. Slowly, slowly, the little boat came "
    "back to the harbor. The father of the boy hugged him and cried with joy. In the morning the "
    "people painted the little boat. They painted it red and white, and they gave it a new name. "
    "The other boats said that they were sorry. From that day on nobody made fun of the little "
    "boat, and when the wind was strong, they all stayed close to it and felt safe. The boy came "
    "to see the boat every day. He brought his sister and his friends, and they cleaned the deck "
    "and sang songs until the sun went down.",
]
