// Draw what is on the first screen, then the rest.
if ($("#switches")) showView().then(drawAll);
else drawAll();
