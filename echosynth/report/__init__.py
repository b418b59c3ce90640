"""Reports: what was made and how good it is, as pictures, tables, one offline HTML page and a model card.

figures       EF scatter, Bland-Altman, histograms (matplotlib, no display needed)
explanation   what a regressor finds in a clip, drawn
measurement   what regressors read in clips, as tables, figures and CSV
sheet         frames of clips, from end-diastole to end-systole, as one picture
tables        scores with intervals, and as Markdown
page          one self-contained HTML page with looping clips
model_card    the card that goes with a set of weights
"""
