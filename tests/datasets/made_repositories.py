"""Small fabricated repositories in the true formats of those that books_movies reads."""

import pickle

from kitrec.datasets import books_movies
from kitrec.datasets.downloads import RemoteFile
from tests.github_server import GitHub

MOVIES = ["B00M000001", "0780000002", "630000003X"]
BOOKS = ["000100039X", "0060000002", "0439000003", "0670000004", "B00KINDLE5", "0140000006", "0310000007", "0850000008"]


def address(file: RemoteFile) -> str:
    return f"{file.repository}/{file.commit}/{file.path}"


def made_files() -> dict[str, bytes]:
    """Return path -> content: two people in both domains, one each of the other splits, a title from every format."""
    movies = {asin: number for number, asin in enumerate(MOVIES)}
    books = {asin: number for number, asin in enumerate(BOOKS)}
    contents = {
        books_movies.HISTORIES["train_overlap"]: b"1\t3,4,0,5\n2\t6,7,1,2\n",
        books_movies.HISTORIES["valid"]: b"1\t8,0\n",
        books_movies.HISTORIES["test"]: b"1\t9,10,2\n",
        books_movies.HISTORIES["train_A"]: b"1\t2,1,0\n",
        books_movies.NUMBERS["movies"]: pickle.dumps(movies, protocol=4),
        books_movies.NUMBERS["books"]: pickle.dumps(books, protocol=4),
        books_movies.BOOK_TEXTS.remote: pickle.dumps({asin: f"Own text {k}" for k, asin in enumerate(BOOKS)}),
    }
    made = [
        pickle.dumps({MOVIES[0]: "Tom &amp; Jerry", MOVIES[1]: 'The "Best" of  1968', MOVIES[2]: "Dune [VHS]"}),
        b"item_id:token\tsales_type:token\tsales_rank:float\tcategories:token_seq\ttitle:token\tprice:float\tbrand:token"
        b"000100039X\tBooks\t587803.0\t'Books'\tThe Prophet\t3.99\t\n",
        b"item_id:token\tcategories:token_seq\ttitle:token\tprice:float\tsales_type:token\tsales_rank:float\tbrand:token"
        b"0780000002\t'TV', 'Movies & TV'\tAnother title [VHS]\t6.88\tMovies & TV\t408295.0\t\n",
        b"bookID,title,authors,average_rating,isbn,isbn13,language_code,  num_pages,ratings_count,text_reviews_count,"
        b"publication_date,publisher\r\n12224,Streetcar Suburbs: The Process of Growth  1870-1900,Sam Bass Warner, Jr./"
        b"Sam B. Warner,3.58,0060000002,9780674842113,en-US,236,61,6,4/20/2004,Harvard University Press\r\n",
        b"book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,"
        b"original_title,title,language_code\n1,2,2,3,272,439000003,9.78E+12,A Writer,2008,Games,"
        b'"The Games (The Games, #1)",eng\n2,3,3,4,1,,9.78E+12,Nobody,1999,No number,No number,eng\n',
        b"ISBN,Book_Title,Book_Author,Year_Of_Publication,Publisher\n0670000004,Angels &amp; Demons,Dan,2001,Pocket\n"
        b"0439000003,A later edition,A Writer,2001,Pocket\n",
        b"0;1;2;3;4;5;6;7\n"
        b'B00KINDLE5;"Southampton Row; a Novel (Charlotte &amp; Thomas Pitt Novels)";Anne P.;2002;Publisher;a;b;c\n',
        b"ISBN,Book-Title,Book-Author,Year-Of-Publication,Book-Publisher\n"
        b'0140000006,"Of Mice, a \\Classic\\"" (Steinbeck)"\n',
        b"ISBN,Book-Title,Book-Author,Year-Of-Publication,Book-Publisher\n0140000006,Not the first,Nobody,2001,None\n",
        b"author;coverPicFileName;Image-URL-M;description;isbn;language;numOfPages;price;publishDate;publisher;title;x\n"
        b"Mary;;http://a;;310000007;;;;;House;Mary-Kate &amp Ashley;http://b\n",
        b"isbn13,isbn10,title,authors\n9780850000008,0850000008,Caf\xe9 Society,Somebody\n",
        b'"850000008","0850000008.jpg","http://c","Not the first","","16","Medical Books"\n',
    ]
    contents |= {file.remote: content for file, content in zip(books_movies.TITLES, made, strict=True)}
    return {address(file): content for file, content in contents.items()}


def made_github() -> GitHub:
    return GitHub(files=made_files())
